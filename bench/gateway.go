package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/tokens"
	"github.com/bothy-computer/bothy/actors/modelgateway"
	"github.com/bothy-computer/bothy/bench/measure"
)

// A scripted vendor's reply: tokens, and how far apart they are.
const (
	gatewayTokens = 400
	gatewayPace   = 2 * time.Millisecond
)

// gateway measures how much later a streamed token comes through the model
// gateway than from the vendor. What it leaves out is the commit that reserves a
// call's money, before its first token.
func (b *bench) gateway(ctx context.Context) error {
	vendor, base, err := vendorOf(scripted)
	if err != nil {
		return err
	}
	defer vendor.Close()
	models, err := catalog.New(catalog.Config{
		Vendors: []catalog.Vendor{{Name: "lab", Protocol: catalog.OpenAIChat, BaseURL: base + "/v1"}},
		Models:  []catalog.Model{{Name: "m", Vendor: "lab", Free: true}},
	}, func(string) string { return "" })
	if err != nil {
		return err
	}
	upstream, err := models.Upstream("m")
	if err != nil {
		return err
	}
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	g := modelgateway.New(tokens.New())
	defer g.Close()
	pass := g.Open(inside, modelgateway.Run{Upstream: upstream, Purse: freePurse{}, Log: slog.New(slog.DiscardHandler)})
	defer pass.Close()
	t := measure.Latencies(fmt.Sprintf("a streamed token, of %d that are %s apart", gatewayTokens, gatewayPace))
	for _, streams := range []int{1, modelgateway.MaxCalls} {
		var ours, direct measure.Samples
		for range b.count(4) {
			// In turn, so that both meet the same machine.
			for _, way := range []struct {
				url, token string
				into       *measure.Samples
			}{{base, "", &direct}, {pass.URL(), pass.Token(), &ours}} {
				if err := streamedAtOnce(ctx, streams, way.url, way.token, way.into); err != nil {
					return err
				}
			}
		}
		t.Compare(fmt.Sprintf("through the gateway, %d at once", streams), &ours, &direct)
		t.Compare("  from the vendor directly", &direct, &direct)
		t.Note("%d at once: the gateway adds %s ms at p50, %s at p99", streams, measure.MS(ours.Percentile(50)-direct.Percentile(50)), measure.MS(ours.Percentile(99)-direct.Percentile(99)))
	}
	t.Note("ratios: to the same stream from the scripted vendor; each token tells when it was sent")
	return t.Write(b.out)
}

// vendorOf is a vendor on a port of its own.
func vendorOf(h http.HandlerFunc) (*http.Server, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	return s, "http://" + l.Addr().String(), nil
}

// scripted is a vendor that sends tokens, each with the time when it left.
func scripted(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	to := http.NewResponseController(w)
	for range gatewayTokens {
		fmt.Fprintf(w, `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"at":%d}`+"\n\n", time.Now().UnixNano())
		if to.Flush() != nil {
			return
		}
		time.Sleep(gatewayPace)
	}
	fmt.Fprint(w, `data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":400}}`+"\n\ndata: [DONE]\n\n")
}

// streamedAtOnce reads streams side by side.
func streamedAtOnce(ctx context.Context, n int, url, token string, into *measure.Samples) error {
	done := make(chan error, n)
	for range n {
		go func() { done <- streamed(ctx, url, token, into) }()
	}
	var errs []error
	for range n {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// streamed reads one reply and notes how old each token is when it comes.
func streamed(ctx context.Context, url, token string, into *measure.Samples) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(`{"model":"m","stream":true,"messages":[]}`))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the stream was answered with %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		_, at, ok := strings.Cut(lines.Text(), `"at":`)
		if !ok {
			continue
		}
		sent, err := strconv.ParseInt(strings.TrimSuffix(at, "}"), 10, 64)
		if err != nil {
			return err
		}
		into.Add(time.Since(time.Unix(0, sent)))
	}
	return lines.Err()
}

// freePurse pays for nothing.
type freePurse struct{}

// Hold implements modelgateway.Purse.
func (p freePurse) Hold(context.Context, int64, int64) (modelgateway.Held, error) { return p, nil }

// Settle implements modelgateway.Held.
func (freePurse) Settle(agent.Usage) error { return nil }
