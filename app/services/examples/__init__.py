"""What two models did on every example of a dataset: the table, one example, the whole by its type, and slices."""
