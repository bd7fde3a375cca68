// Package ledger computes money. It has no clock and does no I/O, so the
// same inputs give the same amounts on every replica.
//
// Amounts are whole millionths of a US dollar. A price times a quantity is
// formed in 128 bits and rounded up once, in [MicroUSD] terms, by divideUp;
// nothing else in the product rounds money. An amount that does not fit is
// ErrOverflow, never a wrapped number.
//
//	money.go     MicroUSD: checked arithmetic and its decimal form
//	model.go     what a model call costs, and the most it can cost
//	computer.go  what a running computer costs, and 5 minutes of it ahead
package ledger
