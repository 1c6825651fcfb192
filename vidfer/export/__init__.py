"""vidfer's networks for other runtimes: what ``vidfer export`` writes."""
