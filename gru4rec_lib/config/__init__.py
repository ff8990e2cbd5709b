"""What a study file may contain, checked before anything runs."""
