"""What starting from a trained network needs: the relationship of classes, added heads."""
