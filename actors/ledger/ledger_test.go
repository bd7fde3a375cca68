package ledger

import (
	"errors"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAddAndSubNeverWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		check := func(name string, got MicroUSD, err error, want *big.Int) {
			if want.IsInt64() != (err == nil) || (err == nil && int64(got) != want.Int64()) {
				t.Fatalf("%s(%d, %d) = %d, %v; want %s", name, a, b, got, err, want)
			}
		}
		x, y := big.NewInt(a), big.NewInt(b)
		sum, err := MicroUSD(a).Add(MicroUSD(b))
		check("Add", sum, err, new(big.Int).Add(x, y))
		diff, err := MicroUSD(a).Sub(MicroUSD(b))
		check("Sub", diff, err, new(big.Int).Sub(x, y))
		if a >= 0 && b >= 0 {
			product, err := MicroUSD(a).Mul(b)
			check("Mul", product, err, new(big.Int).Mul(x, y))
		}
	})
}

func TestDecimalFormReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := MicroUSD(rapid.Int64().Draw(t, "m"))
		back, err := ParseUSD(m.String())
		if err != nil || back != m {
			t.Fatalf("%d is written %s and reads back as %d, %v", int64(m), m, int64(back), err)
		}
	})
}

func TestDecimalForm(t *testing.T) {
	for m, want := range map[MicroUSD]string{
		0: "0.00", 10 * USD: "10.00", 125: "0.000125", -3_500_000: "-3.50",
		math.MaxInt64: "9223372036854.775807", math.MinInt64: "-9223372036854.775808",
	} {
		if got := m.String(); got != want {
			t.Errorf("%d is %s, want %s", int64(m), got, want)
		}
	}
	for _, bad := range []string{"", "-", ".", "1.", ".5", "1.0000001", "1e6", "+1", " 1", "9223372036854.775808", "--1", "1.2.3"} {
		if m, err := ParseUSD(bad); err == nil {
			t.Errorf("%q was read as %d", bad, int64(m))
		}
	}
}

func drawTokens(t *rapid.T) Tokens {
	n := rapid.Int64Range(0, 1<<40)
	cached, written, hour := n.Draw(t, "cached"), n.Draw(t, "written"), n.Draw(t, "written for an hour")
	written += hour
	return Tokens{Input: n.Draw(t, "plain") + cached + written, Cached: cached, CacheWrite: written, CacheWriteHour: hour, Output: n.Draw(t, "output")}
}

func drawPrice(t *rapid.T) ModelPrice {
	p := rapid.Int64Range(0, int64(1000*USD))
	return ModelPrice{
		Input: MicroUSD(p.Draw(t, "in")), Output: MicroUSD(p.Draw(t, "out")),
		CachedInput: MicroUSD(p.Draw(t, "cachedIn")), CacheWrite: MicroUSD(p.Draw(t, "cacheWrite")),
		CacheWriteHour: MicroUSD(p.Draw(t, "cacheWriteHour")),
	}
}

func TestModelCostIsTheExactSumRoundedUpOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, use := drawPrice(t), drawTokens(t)
		exact := new(big.Int)
		add := func(tokens int64, price MicroUSD) {
			exact.Add(exact, new(big.Int).Mul(big.NewInt(tokens), big.NewInt(int64(price))))
		}
		add(use.Input-use.Cached-use.CacheWrite, p.Input)
		add(use.Cached, orElse(p.CachedInput, p.Input))
		add(use.CacheWrite-use.CacheWriteHour, orElse(p.CacheWrite, p.Input))
		add(use.CacheWriteHour, orElse(p.CacheWriteHour, orElse(p.CacheWrite, p.Input)))
		add(use.Output, p.Output)
		exact.Add(exact, big.NewInt(tokensPerPrice-1)).Div(exact, big.NewInt(tokensPerPrice))
		got, err := p.Cost(use)
		if err != nil || int64(got) != exact.Int64() {
			t.Fatalf("cost %d, %v; want %s", got, err, exact)
		}
	})
}

func TestReservationCoversEveryCallWithinIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, use := drawPrice(t), drawTokens(t)
		reserved, err := p.Reserve(use.Input, use.Output)
		if err != nil {
			t.Fatal(err)
		}
		cost, err := p.Cost(use)
		if err != nil || cost > reserved {
			t.Fatalf("a call within its bounds costs %d (%v), reserved were %d", cost, err, reserved)
		}
	})
}

func TestComputerCostOfPartsCoversTheWholeByLessThanOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<45)
		price := ComputerPrice{CPUHour: 50_000, MemoryGiBHour: MicroUSD(n.Draw(t, "gib") % 100_000), StorageGiBHour: 137, ColdGiBHour: 29}
		a := ComputerUse{n.Draw(t, "cpu"), n.Draw(t, "mem"), n.Draw(t, "disk"), n.Draw(t, "cold")}
		b := ComputerUse{n.Draw(t, "cpu2"), n.Draw(t, "mem2"), n.Draw(t, "disk2"), n.Draw(t, "cold2")}
		costA, _ := price.Cost(a)
		costB, _ := price.Cost(b)
		whole, err := price.Cost(ComputerUse{a.CPUMillis + b.CPUMillis, a.MemoryMiBSeconds + b.MemoryMiBSeconds, a.StorageMiBSeconds + b.StorageMiBSeconds, a.ColdMiBSeconds + b.ColdMiBSeconds})
		if err != nil || whole > costA+costB || costA+costB > whole+1 {
			t.Fatalf("parts cost %d and %d, the whole %d (%v)", costA, costB, whole, err)
		}
		if whole < costA {
			t.Fatalf("using more became cheaper: %d, then %d", costA, whole)
		}
	})
}

func TestComputerReservationByHand(t *testing.T) {
	price := ComputerPrice{CPUHour: 60_000, MemoryGiBHour: 12_000, StorageGiBHour: 1_200}
	got, err := price.Reserve(ComputerShape{MilliCPU: 2000, MemoryMiB: 2048, StorageMiB: 10 * 1024}, ReserveAhead)
	// A twelfth of an hour: 2 cores 10,000, 2 GiB 2,000, 10 GiB of disk 1,000.
	if err != nil || got != 13_000 {
		t.Fatalf("reserved %d, %v; want 13000", got, err)
	}
}

func TestOutOfRangeIsAnError(t *testing.T) {
	dear := ModelPrice{Input: math.MaxInt64, Output: math.MaxInt64}
	for name, err := range map[string]error{
		"a cost too large":       second(dear.Cost(Tokens{Input: math.MaxInt64, Output: math.MaxInt64})),
		"negative tokens":        second(dear.Cost(Tokens{Output: -1})),
		"negative multiplier":    second(USD.Mul(-1)),
		"a computer too large":   second(ComputerPrice{CPUHour: math.MaxInt64}.Cost(ComputerUse{CPUMillis: 1})),
		"an endless reservation": second(ComputerPrice{CPUHour: USD}.Reserve(ComputerShape{MilliCPU: math.MaxInt64}, time.Hour)),
	} {
		if !errors.Is(err, ErrOverflow) {
			t.Errorf("%s: %v, want ErrOverflow", name, err)
		}
	}
}

func second(_ MicroUSD, err error) error { return err }

func TestALongCallCostsWhatLongCallsCost(t *testing.T) {
	p := ModelPrice{Input: 2 * USD, Output: 12 * USD, Long: &LongPrice{Above: 200_000, Input: 4 * USD, CachedInput: USD, Output: 18 * USD}}
	for name, tt := range map[string]struct {
		tokens Tokens
		want   MicroUSD
	}{
		"at the bound": {Tokens{Input: 200_000, Output: 1000}, 412_000},
		"above it":     {Tokens{Input: 250_000, Cached: 50_000, Output: 1000}, 868_000},
	} {
		got, err := p.Cost(tt.tokens)
		if err != nil || got != tt.want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, tt.want)
		}
		if most, err := p.Reserve(tt.tokens.Input, tt.tokens.Output); err != nil || most < got {
			t.Errorf("%s: %d is reserved for %d, %v", name, most, got, err)
		}
	}
}
