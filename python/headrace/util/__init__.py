"""What several parts of the package share with its users."""
