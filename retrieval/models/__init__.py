"""Model folders that come with the package."""
