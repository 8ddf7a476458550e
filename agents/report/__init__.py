"""Pages and pictures for a person: of the demo, of a tuned model, of a verdict; and what they share."""
