"""What a clip says in numbers: episodes, shares, time courses, and tables read back."""
