"""vidfer: facial-expression timelines from folders of videos."""

__version__ = "0.1.0"
