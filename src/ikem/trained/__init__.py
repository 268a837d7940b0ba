"""Using what was trained: embedding and classifying clips, and handing encoders on."""
