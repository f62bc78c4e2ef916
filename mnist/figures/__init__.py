"""Pictures: figures, sheets of images, moving pictures, windows. They know arrays only."""
