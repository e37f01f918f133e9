"""The way of one update, member's side: encode and encrypt it; decrypt and apply the sum."""
