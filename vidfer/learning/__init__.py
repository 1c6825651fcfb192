"""Data, trainings and measurements, over the engine."""
