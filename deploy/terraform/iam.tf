# One module call for each account, with the sides that it holds.

resource "aws_iam_role" "this" {
  for_each = local.policies

  name                 = "${var.name_prefix}-${each.key}"
  assume_role_policy   = local.trusts[each.key]
  max_session_duration = 3600 # moveout renews its sessions
  tags                 = var.tags

  lifecycle {
    precondition {
      condition     = contains(keys(var.trust_policies), each.key) || length(lookup(var.trusted, each.key, [])) > 0
      error_message = "Nobody may take the role ${each.key}: name it in `trusted`, give `trust_policies`, or leave it out of `roles`."
    }
  }
}

resource "aws_iam_policy" "this" {
  for_each = local.policies

  name        = "${var.name_prefix}-${each.key}"
  description = "What moveout's ${each.key} calls, and nothing else (daemon/rights/table.py)."
  policy      = each.value
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = local.policies

  role       = aws_iam_role.this[each.key].name
  policy_arn = aws_iam_policy.this[each.key].arn
}
