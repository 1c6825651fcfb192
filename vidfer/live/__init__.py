"""Streams from cameras, networks, files and pipes: what ``vidfer live`` does, over ``Pipeline.stream``."""
