package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/doortest"
)

func TestUsageOfComputersAndAccounts(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	c.running(`{"handle":"box"}`)
	var a asked
	c.do("POST", "/v1/computers/box/actions/stop", nil).is(202).into(&a)
	c.ended(a)
	var one, all struct {
		Usage struct {
			Runtime *int64 `json:"runtime_seconds"`
		}
	}
	c.do("GET", "/v1/computers/box/usage", nil).is(200).into(&one)
	c.do("GET", "/v1/usage", nil).is(200).into(&all)
	if one.Usage.Runtime == nil || all.Usage.Runtime == nil {
		t.Fatal("no running time")
	}
}

func TestPreferencesAreKeptAndTheSpendLimitHolds(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	body := func(limit string) string {
		return `{"auto_reload_enabled":true,"balance_threshold_cents":500,"monthly_spend_limit_cents":` + limit + `,"reload_amount_cents":2000}`
	}
	var reply struct {
		Reload struct {
			Enabled   bool
			Threshold int64  `json:"balance_threshold_cents"`
			Limit     *int64 `json:"monthly_spend_limit_cents"`
			Error     string `json:"last_sync_error"`
		} `json:"auto_reload"`
	}
	c.do("PATCH", "/v1/billing/preferences", body("5000")).is(200).into(&reply)
	if !reply.Reload.Enabled || reply.Reload.Threshold != 500 || *reply.Reload.Limit != 5000 || reply.Reload.Error == "" {
		t.Fatalf("%+v", reply)
	}
	c.do("PATCH", "/v1/billing/preferences", body("6000")).fails(403, "forbidden", "billing:write")
	c.do("PATCH", "/v1/billing/preferences", body("null")).fails(403, "forbidden", "billing:write")
	c.do("PATCH", "/v1/billing/preferences", body("-1")).fails(400, "invalid_request", "monthly_spend_limit_cents")
	c.do("PATCH", "/v1/billing/preferences", `{"auto_reload_enabled":true}`).fails(400, "invalid_request", "Missing required field")
	var me struct {
		Plan struct {
			Reload struct{ Enabled bool } `json:"auto_reload"`
			Status string                 `json:"access_status"`
		} `json:"computer_plan"`
	}
	c.running(`{"handle":"box"}`)
	c.do("PATCH", "/v1/billing/preferences", body("0")).is(200)
	c.do("GET", "/v1/me", nil).is(200).into(&me)
	if !me.Plan.Reload.Enabled || me.Plan.Status != "inactive" {
		t.Fatalf("%+v", me)
	}
}

func TestUptimeComesFromRealProbes(t *testing.T) {
	h := doortest.Open(t)
	nobody := as(t, h, "")
	var up struct {
		Services []struct{ Slug, Status string }
		Dates    []string `json:"history_dates"`
		History  map[string][]string
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		nobody.do("GET", "/v1/status/uptime", nil).is(200).into(&up)
		if len(up.Services) == 3 && up.Services[0].Status == "operational" && up.Services[1].Status == "operational" && up.Services[2].Status == "operational" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", up.Services)
		}
	}
	if len(up.Dates) != 90 || len(up.History["api"]) != 90 || !strings.HasPrefix(up.Dates[89], time.Now().UTC().Format("2006-01")) {
		t.Fatalf("%v, %v", up.Dates, up.History)
	}
}
