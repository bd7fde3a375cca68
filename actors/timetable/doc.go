// Package timetable says when a schedule is due: at one moment, or again and
// again by a cron expression, read in a time zone. It is pure: nothing in it
// looks at a clock.
//
// A cron expression has five fields (minute, hour, day of month, month, day of
// week) as crontab(5) has them, with names of months and days, lists, ranges,
// steps, and gronx's L, W and #; or it is @hourly, @daily, @weekly, @monthly or
// @yearly. Where a day of month and a day of week are both given, either will
// do. A time that a zone skips in spring does not come that day; one that comes
// twice in autumn is taken once, except by expressions that name no hour.
package timetable
