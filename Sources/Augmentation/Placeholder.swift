// Augmentation
