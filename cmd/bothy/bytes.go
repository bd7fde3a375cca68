package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bytes is a size as people write it: 512MiB, 2GiB, 1048576.
type Bytes int64

// units are the powers of 1024 that sizes are written in, smallest first.
var units = []string{"", "KiB", "MiB", "GiB", "TiB"}

// parseBytes reads a size.
func parseBytes(text string) (Bytes, error) {
	digits := strings.TrimRight(text, "KMGTiB")
	unit := strings.TrimPrefix(text, digits)
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err == nil && n >= 0 {
		for i, known := range units {
			if shift := uint(10 * i); unit == known && n <= math.MaxInt64>>shift {
				return Bytes(n << shift), nil
			}
		}
	}
	return 0, fmt.Errorf("%q is not a size; write it as 512MiB or 2GiB", text)
}

// UnmarshalYAML reads a size from a configuration file.
func (b *Bytes) UnmarshalYAML(node *yaml.Node) error {
	size, err := parseBytes(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*b = size
	return nil
}

// String is the size in the largest unit that keeps it whole.
func (b Bytes) String() string {
	n, unit := int64(b), 0
	for n != 0 && n%1024 == 0 && unit < len(units)-1 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + units[unit]
}
