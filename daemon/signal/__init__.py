"""Where the decision is published: one document, the same everywhere."""
