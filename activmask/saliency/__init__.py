"""Attribution maps of single images, the numbers beside them, and the pictures of them."""
