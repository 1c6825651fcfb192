"""A service: videos, pictures and streams over HTTP, for people and programs. Needs the extra ``serve``."""
