"""What a clip says in numbers: episodes, shares, courses, and tables read back."""
