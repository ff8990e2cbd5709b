"""Follow a session track by track in notebook 07."""
