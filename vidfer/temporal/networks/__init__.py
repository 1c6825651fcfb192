"""The trained sequence models' networks. Nothing here is imported before such a model is made (torch is slow)."""
