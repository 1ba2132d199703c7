output "role_arns" {
  description = "Role -> its ARN: for the pods' service account, or for source.role_arn and the like."
  value       = { for role, made in aws_iam_role.this : role => made.arn }
}

output "policies" {
  description = "Role -> its policy, as JSON."
  value       = local.policies
}
