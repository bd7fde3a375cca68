package door

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Bounds of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 100
	MaxOffset    = math.MaxInt32
)

// Page reads limit and offset.
func Page(c *gin.Context) (state.Page, error) {
	return ParsePage(c.Query("limit"), c.Query("offset"))
}

// PageUpTo reads limit and offset of a list whose clients mostly send neither:
// limit may be as large as most, which is its default.
func PageUpTo(c *gin.Context, most int) (state.Page, error) {
	n, err := number("limit", c.Query("limit"), most, 1, most)
	if err != nil {
		return state.Page{}, err
	}
	skip, err := number("offset", c.Query("offset"), 0, 0, MaxOffset)
	return state.Page{Limit: n, Offset: skip}, err
}

// ParsePage reads a page's bounds; an empty text is the default.
func ParsePage(limit, offset string) (state.Page, error) {
	n, err := number("limit", limit, DefaultLimit, 1, MaxLimit)
	if err != nil {
		return state.Page{}, err
	}
	skip, err := number("offset", offset, 0, 0, MaxOffset)
	return state.Page{Limit: n, Offset: skip}, err
}

func number(name, text string, unset, low, high int) (int, error) {
	if text == "" {
		return unset, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high || strings.HasPrefix(text, "+") {
		return 0, fault.New(fault.Invalid, "%s must be a whole number from %d to %d", name, low, high).WithField(name)
	}
	return n, nil
}

// Flag reads a query parameter that is true or false; ok says that it was given.
func Flag(c *gin.Context, name string) (value, ok bool, err error) {
	switch c.Query(name) {
	case "":
		return false, false, nil
	case "true", "1":
		return true, true, nil
	case "false", "0":
		return false, true, nil
	}
	return false, false, fault.New(fault.Invalid, "%s must be true or false", name).WithField(name)
}

// Since reads a query parameter that is a time; absent is the zero time.
func Since(c *gin.Context, name string) (time.Time, error) {
	text := c.Query(name)
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fault.New(fault.Invalid, "%s must be an ISO 8601 time, such as 2026-01-31T12:00:00Z", name).WithField(name)
}

// MaxIDBytes bounds an id in a path; every id of ours is shorter.
const MaxIDBytes = 80

// ID reads an id from the path. What cannot be an id is not looked up: ids
// become parts of keys.
func ID(c *gin.Context, name, noun string) (string, error) {
	id := c.Param(name)
	if !LooksLikeID(id) {
		return "", fault.New(fault.NotFound, "%s not found: %s", noun, strconv.QuoteToASCII(clip(id, MaxIDBytes)))
	}
	return id, nil
}

// LooksLikeID reports whether a text has an id's letters and length.
func LooksLikeID(id string) bool {
	if id == "" || len(id) > MaxIDBytes {
		return false
	}
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return false
		}
	}
	return true
}
