package httpapi_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestHealthAsItsClientsReadIt(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, "")
	var health wire.Health
	c.do("GET", "/v1/health", nil).is(200).into(&health)
	if health.Status != "healthy" || health.Node != "n1" || health.Version != "test" {
		t.Fatalf("%+v", health)
	}
	c.do("GET", "/readyz", nil).is(200)
	c.do("GET", "/healthz", nil).is(200)
}

func TestMetricsAreTotalsUnlessAScraperAsks(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	run(c, hello)
	var totals wire.Totals
	c.do("GET", "/metrics", nil, "Accept", "*/*").is(200).into(&totals)
	if totals.TotalExecutions != 1 || totals.SuccessfulExecutions != 1 {
		t.Fatalf("%+v", totals)
	}
	for _, ask := range [][2]string{{"/metrics", "text/plain;version=0.0.4"}, {"/v1/metrics", "application/openmetrics-text"}, {"/metrics?format=prometheus", "*/*"}} {
		r := c.do("GET", ask[0], nil, "Accept", ask[1]).is(200)
		if !strings.Contains(string(r.body), `bothy_http_requests_total{class="2xx",dialect="computer_agents",route="/threads"}`) {
			t.Fatalf("%v: %s", ask, r.body)
		}
	}
}

func TestTheDoorsMetricsPassTheLinterAndNameNoIDs(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	done := run(c, hello)
	c.do("GET", "/threads/"+done.Thread.ID, nil).is(200)
	c.do("GET", "/nowhere/"+done.Thread.ID, nil).is(404)
	text := metrics(t, h)
	if strings.Contains(text, done.Thread.ID) || strings.Contains(text, string(h.Account.ID)) {
		t.Fatal("a metric names an id")
	}
	problems, err := promlint.New(bytes.NewReader([]byte(text))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "bothy_http") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestTheOpsPortHasProfilesAndProbes(t *testing.T) {
	h := doortest.Open(t)
	for _, path := range []string{"/debug/pprof/", "/metrics", "/healthz", "/readyz"} {
		w := httptest.NewRecorder()
		h.Server.OpsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
