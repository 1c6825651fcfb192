"""One command a module: what ``vidfer NAME`` does with parsed options. Each has ``run(options) -> exit code``."""

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
