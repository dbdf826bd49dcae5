"""What Touchstone knows of public MTEB: its models, tasks and benchmarks, and its result files."""
