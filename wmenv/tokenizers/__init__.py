"""Observations to latent tokens and back."""
