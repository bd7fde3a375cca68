package ledger

import "time"

// ReserveAhead is the time for which a running computer is paid in advance.
const ReserveAhead = 5 * time.Minute

// ComputerPrice is what a computer's parts cost for an hour.
type ComputerPrice struct {
	CPUHour        MicroUSD `yaml:"cpuHour"`        // one core busy for an hour
	MemoryGiBHour  MicroUSD `yaml:"memoryGiBHour"`  // one GiB held for an hour
	StorageGiBHour MicroUSD `yaml:"storageGiBHour"` // one GiB on disk for an hour, while it runs
	ColdGiBHour    MicroUSD `yaml:"coldGiBHour"`    // while it is stopped
}

// ComputerUse is what a computer has used since it was created. The counters
// only grow; bill the difference of two costs, so that rounding never adds up.
type ComputerUse struct {
	CPUMillis         int64 // core-milliseconds
	MemoryMiBSeconds  int64
	StorageMiBSeconds int64 // while it ran
	ColdMiBSeconds    int64 // while it was stopped
}

// ComputerShape is the most that a computer may use at once.
type ComputerShape struct {
	MilliCPU   int64 // 1000 is one core
	MemoryMiB  int64
	StorageMiB int64
}

// A core-hour is 3,600,000 core-milliseconds and a GiB-hour 3,686,400
// MiB-seconds. Over their least common multiple both sum without rounding.
const (
	hourUnits       = 460_800_000
	unitsPerCPU     = hourUnits / 3_600_000
	unitsPerStorage = hourUnits / (1024 * 3600)
)

// Cost is the price of the use, rounded up to a whole micro-dollar.
func (p ComputerPrice) Cost(use ComputerUse) (MicroUSD, error) {
	var total wide
	for _, part := range []struct {
		price            MicroUSD
		quantity, weight int64
	}{
		{p.CPUHour, use.CPUMillis, unitsPerCPU},
		{p.MemoryGiBHour, use.MemoryMiBSeconds, unitsPerStorage},
		{p.StorageGiBHour, use.StorageMiBSeconds, unitsPerStorage},
		{p.ColdGiBHour, use.ColdMiBSeconds, unitsPerStorage},
	} {
		weighted, err := part.price.Mul(part.weight)
		if err != nil {
			return 0, err
		}
		if err := total.addProduct(int64(weighted), part.quantity); err != nil {
			return 0, err
		}
	}
	return total.divideUp(hourUnits)
}

// Reserve is the most that a computer of the shape can cost in d, counted in
// whole seconds, rounded up.
func (p ComputerPrice) Reserve(shape ComputerShape, d time.Duration) (MicroUSD, error) {
	seconds := int64((d + time.Second - 1) / time.Second)
	var use ComputerUse
	for _, part := range []struct {
		rate int64
		into *int64
	}{
		{shape.MilliCPU, &use.CPUMillis}, // a thousandth of a core for a second is one core-millisecond
		{shape.MemoryMiB, &use.MemoryMiBSeconds},
		{shape.StorageMiB, &use.StorageMiBSeconds},
	} {
		product, err := MicroUSD(part.rate).Mul(seconds)
		if err != nil {
			return 0, err
		}
		*part.into = int64(product)
	}
	return p.Cost(use)
}
