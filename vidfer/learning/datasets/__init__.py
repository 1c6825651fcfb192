"""Labelled data for training and evaluation: manifests, corpora, FER2013, photographs with faces, made sequences."""
