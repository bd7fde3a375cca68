package httpapi_test

import (
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
)

func TestWhatIsChosenAboutTheBill(t *testing.T) {
	h := doortest.Open(t)
	c, reader := as(t, h, h.FullKey()), as(t, h, h.Key)
	for _, path := range []string{"/billing/preferences", "/v1/billing/preferences"} {
		reader.do("GET", path, nil).is(200).like(`{"userId":"*","billing":{"usageBillingEnabled":true,"monthlyResourceSpendLimit":null,"pauseOnLimit":true,"resourceEmailAlerts":false},
			"inference":{"enabled":false},"usage":{"monthlyResourceSpend":0,"monthlyMeteredResourceUsage":0}}`)
		reader.do("PATCH", path, `{"monthlyResourceSpendLimit":5,"pauseOnLimit":true,"resourceEmailAlerts":false,"usageBillingEnabled":true,"inference":null}`).is(200).like(`{"billing":{"monthlyResourceSpendLimit":5}}`)
		reader.do("GET", "/billing/budget", nil).is(200).like(`{"monthlyLimit":5}`)
		reader.do("PATCH", path, `{"monthlyResourceSpendLimit":6}`).refused(403, "billing:write")
		reader.do("PATCH", path, `{"monthlyResourceSpendLimit":null}`).refused(403, "billing:write")
		for body, says := range map[string]string{`{"monthlyResourceSpendLimit":-1}`: "must not be negative", `{"pauseOnLimit":false}`: "pauseOnLimit can only be true",
			`{"resourceEmailAlerts":true}`: "no mail is sent", `{"usageBillingEnabled":false}`: "usageBillingEnabled", `{"inference":{"enabled":true}}`: "inference can only be null"} {
			c.do("PATCH", path, body).refused(400, says)
		}
		c.do("PATCH", path, `{"resourceEmailAlerts":false}`).is(200).like(`{"billing":{"monthlyResourceSpendLimit":5}}`)
		c.do("PATCH", path, `{"monthlyResourceSpendLimit":null}`).is(200).like(`{"billing":{"monthlyResourceSpendLimit":null}}`)
		as(t, h, "tb_wrong").do("PATCH", path, `{"monthlyResourceSpendLimit":1}`).is(401)
	}
}
