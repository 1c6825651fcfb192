"""How good networks and models are on labelled data: figures, their pictures, and what a network looked at."""
