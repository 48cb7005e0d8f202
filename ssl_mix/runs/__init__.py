"""A run as a value, its options, its folder and its checkpoints: start one, go on with one, use what it
learned."""
