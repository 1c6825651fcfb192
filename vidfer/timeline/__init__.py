"""From probabilities per frame to episodes."""
