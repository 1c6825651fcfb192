"""What a run keeps: files, tables, journal, lock."""
