package wire

import (
	"bytes"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// USD is money in millionths of a dollar. On the wire it is a decimal number
// of dollars, exact to six places: it never passes through a float.
type USD int64

// maxUSD bounds an amount a client may send: a thousand million dollars.
const maxUSD = USD(1e15)

// String returns dollars with as many decimals as needed.
func (u USD) String() string {
	sign, n := "", int64(u)
	if n < 0 {
		sign, n = "-", -n
	}
	whole, part := n/1e6, n%1e6
	if part == 0 {
		return sign + strconv.FormatInt(whole, 10)
	}
	return sign + strconv.FormatInt(whole, 10) + "." + strings.TrimRight(fmt.Sprintf("%06d", part), "0")
}

// MarshalJSON writes a decimal number.
func (u USD) MarshalJSON() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalJSON reads a decimal number with at most six decimals.
func (u *USD) UnmarshalJSON(b []byte) error {
	amount, err := ParseUSD(string(bytes.TrimSpace(b)))
	if err == nil {
		*u = amount
	}
	return err
}

// ParseUSD reads dollars as people and JSON write them: 10, 0.5, 1e2.
func ParseUSD(text string) (USD, error) {
	wrong := fmt.Errorf("must be a number of dollars with at most 6 decimals, below %s", maxUSD)
	// big.Rat would also take fractions, and work for long on a huge exponent.
	if len(text) > 32 || strings.ContainsAny(text, "/_xXpPbBoO") || exponent(text) > 12 {
		return 0, wrong
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, wrong
	}
	r.Mul(r, big.NewRat(1e6, 1))
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, wrong
	}
	if n := USD(r.Num().Int64()); n <= maxUSD && n >= -maxUSD {
		return n, nil
	}
	return 0, wrong
}

func exponent(text string) int {
	i := strings.IndexAny(text, "eE")
	if i < 0 {
		return 0
	}
	n, err := strconv.Atoi(text[i+1:])
	if err != nil {
		return 99
	}
	return max(n, -n)
}
