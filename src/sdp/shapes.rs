//! Offers and answers as the peers write them; addresses and keys are made up.
