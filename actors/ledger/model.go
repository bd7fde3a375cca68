package ledger

import "math"

// tokensPerPrice is the number of tokens that a model's price is for.
const tokensPerPrice = 1_000_000

// ModelPrice is what a model charges for a million tokens of each sort.
type ModelPrice struct {
	Input          MicroUSD `yaml:"input"`          // what the model is shown
	Output         MicroUSD `yaml:"output"`         // reasoning counts as output
	CachedInput    MicroUSD `yaml:"cachedInput"`    // input read from the vendor's cache; 0 is the price of input
	CacheWrite     MicroUSD `yaml:"cacheWrite"`     // input written to the vendor's cache; 0 is the price of input
	CacheWriteHour MicroUSD `yaml:"cacheWriteHour"` // input that its cache keeps for an hour; 0 is the price of cacheWrite
	// Long is charged instead for a whole call whose input is longer; nil is the
	// same price at any length.
	Long *LongPrice `yaml:"long"`
}

// LongPrice is what a model charges for calls with more input than Above.
type LongPrice struct {
	Above          int64    `yaml:"above"`          // tokens
	Input          MicroUSD `yaml:"input"`          // as without long
	Output         MicroUSD `yaml:"output"`         // as without long
	CachedInput    MicroUSD `yaml:"cachedInput"`    // as without long
	CacheWrite     MicroUSD `yaml:"cacheWrite"`     // as without long
	CacheWriteHour MicroUSD `yaml:"cacheWriteHour"` // as without long
}

// Zero reports whether no price is set at all, which only a model declared
// free may have.
func (p ModelPrice) Zero() bool { return p == ModelPrice{} }

// Negative reports whether a part of the price, or the length from which
// another one holds, is below zero.
func (p ModelPrice) Negative() bool {
	if min(p.Input, p.Output, p.CachedInput, p.CacheWrite, p.CacheWriteHour) < 0 {
		return true
	}
	return p.Long != nil && (p.Long.Above < 0 || p.at(math.MaxInt64).Negative())
}

// at is the price of a call with so much input.
func (p ModelPrice) at(input int64) ModelPrice {
	if p.Long == nil || input <= p.Long.Above {
		p.Long = nil
		return p
	}
	return ModelPrice{Input: p.Long.Input, Output: p.Long.Output, CachedInput: p.Long.CachedInput,
		CacheWrite: p.Long.CacheWrite, CacheWriteHour: p.Long.CacheWriteHour}
}

// Tokens is what a model call used.
type Tokens struct {
	Input          int64 // all input, including Cached and CacheWrite
	Cached         int64 // part of Input
	CacheWrite     int64 // part of Input, including CacheWriteHour
	CacheWriteHour int64 // part of CacheWrite
	Output         int64 // all output, including reasoning
}

// Cost is the price of the tokens, rounded up to a whole micro-dollar.
func (p ModelPrice) Cost(t Tokens) (MicroUSD, error) {
	p = p.at(t.Input)
	plain := t.Input - t.Cached - t.CacheWrite
	if plain < 0 {
		// A vendor that counts cached tokens beside the input, not inside it,
		// is paid for both.
		plain = t.Input
	}
	hour := min(t.CacheWriteHour, t.CacheWrite)
	var total wide
	for _, part := range []struct {
		tokens int64
		price  MicroUSD
	}{
		{plain, p.Input},
		{t.Cached, orElse(p.CachedInput, p.Input)},
		{t.CacheWrite - hour, orElse(p.CacheWrite, p.Input)},
		{hour, orElse(p.CacheWriteHour, orElse(p.CacheWrite, p.Input))},
		{t.Output, p.Output},
	} {
		if err := total.addProduct(part.tokens, int64(part.price)); err != nil {
			return 0, err
		}
	}
	return total.divideUp(tokensPerPrice)
}

// Reserve is the most that a call can cost: all of its counted input at the
// dearest input price, and the output up to the bound that is sent with it.
func (p ModelPrice) Reserve(countedInput, maxOutput int64) (MicroUSD, error) {
	p = p.at(countedInput)
	dearest := max(p.Input, p.CachedInput, p.CacheWrite, p.CacheWriteHour)
	worst := ModelPrice{Input: dearest, Output: p.Output}
	return worst.Cost(Tokens{Input: countedInput, Output: maxOutput})
}

func orElse(price, fallback MicroUSD) MicroUSD {
	if price == 0 {
		return fallback
	}
	return price
}
