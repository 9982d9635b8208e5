"""What is looked at: thumbnails, pages that hold their pictures, contact sheets, and pictures in a terminal."""
