"""Ways through a style space. Functions of plain callables and tensors, whatever the method."""
