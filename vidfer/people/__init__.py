"""Who is who in a clip and who counts: proposals, the user's people.csv, and what follows from it."""
