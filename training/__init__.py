"""Retraining: checked data in; a fine-tuned, calibrated, evaluated and exported classifier out."""
