"""Videos as files: found, probed, and read in batches of frames with the container's timestamps."""
