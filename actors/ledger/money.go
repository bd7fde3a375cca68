package ledger

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// MicroUSD is an amount in millionths of a US dollar. It may be negative,
// as a balance can be.
type MicroUSD int64

// USD is one dollar.
const USD MicroUSD = 1_000_000

// ErrOverflow means that an amount is too large to be held, or that a
// quantity given to this package was negative.
var ErrOverflow = errors.New("the amount is out of range")

// Add returns m+n, or ErrOverflow.
func (m MicroUSD) Add(n MicroUSD) (MicroUSD, error) {
	sum := m + n
	if (n > 0 && sum < m) || (n < 0 && sum > m) {
		return 0, ErrOverflow
	}
	return sum, nil
}

// Sub returns m-n, or ErrOverflow.
func (m MicroUSD) Sub(n MicroUSD) (MicroUSD, error) {
	diff := m - n
	if (n > 0 && diff > m) || (n < 0 && diff < m) {
		return 0, ErrOverflow
	}
	return diff, nil
}

// Mul returns m×n for amounts and counts that are not negative, or ErrOverflow.
func (m MicroUSD) Mul(n int64) (MicroUSD, error) {
	var total wide
	if err := total.addProduct(int64(m), n); err != nil {
		return 0, err
	}
	return total.divideUp(1)
}

// String is the amount as decimal dollars with at least two and at most six
// places: 10.00, 0.000125, -3.50.
func (m MicroUSD) String() string {
	magnitude, sign := uint64(m), ""
	if m < 0 {
		magnitude, sign = -magnitude, "-"
	}
	cents := fmt.Sprintf("%06d", magnitude%uint64(USD))
	short := strings.TrimRight(cents, "0")
	if len(short) < 2 {
		short = cents[:2]
	}
	return sign + strconv.FormatUint(magnitude/uint64(USD), 10) + "." + short
}

// ParseUSD reads decimal dollars such as "10", "0.25" or "-3.000001". More
// than six places are an error, because nothing may be rounded on the way in.
func ParseUSD(text string) (MicroUSD, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, part, dotted := strings.Cut(digits, ".")
	if whole == "" || (dotted && part == "") || len(part) > 6 || !allDigits(whole) || !allDigits(part) {
		return 0, fmt.Errorf("%q is not an amount of dollars with at most six decimal places", text)
	}
	micros, err := strconv.ParseUint(whole+part+strings.Repeat("0", 6-len(part)), 10, 64)
	switch {
	case err == nil && negative && micros <= 1<<63:
		return MicroUSD(-micros), nil
	case err == nil && !negative && micros < 1<<63:
		return MicroUSD(micros), nil
	}
	return 0, fmt.Errorf("amount %q: %w", text, ErrOverflow)
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// wide is an unsigned 128-bit sum of products, exact until divideUp.
type wide struct{ hi, lo uint64 }

// addProduct adds a×b. Negative factors are ErrOverflow: quantities and
// prices never are.
func (w *wide) addProduct(a, b int64) error {
	if a < 0 || b < 0 {
		return ErrOverflow
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	var carry uint64
	w.lo, carry = bits.Add64(w.lo, lo, 0)
	w.hi, carry = bits.Add64(w.hi, hi, carry)
	if carry != 0 {
		return ErrOverflow
	}
	return nil
}

// divideUp returns the sum divided by n, rounded up. It is the only place
// where money is rounded.
func (w wide) divideUp(n uint64) (MicroUSD, error) {
	if w.hi >= n {
		return 0, ErrOverflow
	}
	quotient, rest := bits.Div64(w.hi, w.lo, n)
	if rest > 0 {
		quotient++
	}
	if quotient > math.MaxInt64 {
		return 0, ErrOverflow
	}
	return MicroUSD(quotient), nil
}
