"""What tells whether a collection holds what a query asks for: the background and the judges of a model."""
