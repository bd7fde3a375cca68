package identity

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestTokenTextComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addrs := rapid.SliceOfN(rapid.StringMatching(`([a-z0-9-]{1,20}\.)*[a-z]{1,5}:[1-9][0-9]{0,3}|\[::1\]:[1-9][0-9]{0,3}`), 1, maxTokenAddrs).Draw(t, "addrs")
		var ca [32]byte
		ca[3] = 7
		token, err := newToken(ca, addrs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseToken("  " + token.Text() + "\n")
		if len(token.Text()) > maxTokenBytes {
			if err == nil {
				t.Fatal("a token over the bound was taken")
			}
			return
		}
		if err != nil || got.CA != token.CA || got.Secret != token.Secret || !slices.Equal(got.Addrs, addrs) {
			t.Fatalf("got %+v, %v", got, err)
		}
	})
}

func TestParseTokenRefuses(t *testing.T) {
	token, err := newToken([32]byte{1}, []string{"127.0.0.1:7000"})
	must(t, err)
	good := token.Text()
	parts := strings.SplitN(good, ".", 4)
	join := func(p ...string) string { return strings.Join(p, ".") }
	for name, text := range map[string]string{
		"nothing":            "",
		"another version":    "bothy2" + strings.TrimPrefix(good, "bothy1"),
		"cut short":          join(parts[:3]...),
		"a short hash":       join(parts[0], parts[1][:42], parts[2], parts[3]),
		"a secret with '='":  join(parts[0], parts[1], parts[2]+"=", parts[3]),
		"a broken secret":    join(parts[0], parts[1], "!"+parts[2][1:], parts[3]),
		"a newline inside":   join(parts[0], parts[1], parts[2][:20]+"\n"+parts[2][20:], parts[3]),
		"no address":         join(parts[0], parts[1], parts[2], ""),
		"no port":            join(parts[0], parts[1], parts[2], "host"),
		"port 0":             join(parts[0], parts[1], parts[2], "host:0"),
		"no host":            join(parts[0], parts[1], parts[2], ":7"),
		"too many addresses": join(parts[0], parts[1], parts[2], strings.Repeat("h:1,", maxTokenAddrs)+"h:1"),
		"endless":            good + strings.Repeat(",h:1", maxTokenBytes),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseToken(text)
			if err == nil {
				t.Fatal("it was taken")
			}
			if strings.Contains(err.Error(), parts[2]) {
				t.Fatal("the error tells the secret")
			}
		})
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	token, err := newToken([32]byte{1}, []string{"h:1"})
	must(t, err)
	var out strings.Builder
	slog.New(slog.NewJSONHandler(&out, nil)).Info("made", "token", token)
	fmt.Fprintf(&out, "%v %s", token, token)
	admission := Admission{ClusterKey: []byte("tell nobody")}
	slog.New(slog.NewTextHandler(&out, nil)).Info("let in", "admission", admission)
	fmt.Fprintf(&out, "%v %+v", admission, admission)
	if strings.Contains(out.String(), "tell nobody") || strings.Contains(out.String(), "dGVsbCBub2JvZHk") {
		t.Fatalf("printed: %s", out.String())
	}
	if strings.Contains(out.String(), strings.Split(token.Text(), ".")[2]) {
		t.Fatalf("printed: %s", out.String())
	}
}

func FuzzParseToken(f *testing.F) {
	token, err := newToken([32]byte{1}, []string{"127.0.0.1:7000", "[::1]:7000"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.Text())
	f.Add("bothy1...")
	f.Add("bothy1.AA.AA.h:1")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseToken(text)
		if err != nil {
			return
		}
		if again := got.Text(); again != strings.TrimSpace(text) {
			t.Fatalf("%q is read and written as %q", text, again)
		}
	})
}
